"""The catalog as web pages: what is known of each dataset, gathered once, written as files that need no server."""
