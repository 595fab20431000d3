"""From a closed graph to something that can be called."""
