"""The writes that only a Kubernetes cluster has: its credential, its objects, its closings, what it holds of ours."""
