"""When to do it: queue, cache, workers, over ports that kube and aws fulfil."""
