"""What an agent in a cluster knows of Kubernetes: its kinds, its API server, how objects are brought and read back."""
