"""A lab's own cluster: scheduler and workers as processes of this machine, kept alive by a supervisor."""
