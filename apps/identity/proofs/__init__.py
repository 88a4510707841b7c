"""Proofs: how programs show who they are without a secret that we gave them."""
