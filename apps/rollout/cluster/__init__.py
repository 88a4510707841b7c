"""What people and scripts see of a Kubernetes cluster: its pages, its API, its forms and its settings."""
