"""A Kubernetes API server spoken to: which calls there are, in what order they are made, and what its errors mean."""
