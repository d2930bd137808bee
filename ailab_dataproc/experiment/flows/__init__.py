"""What a flow is made of: fingerprints of code and values, the store of results, the graph and the page."""
