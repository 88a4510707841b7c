"""What people, scripts and agents see of a Kubernetes cluster: its pages, its API and its settings; and its watch."""
