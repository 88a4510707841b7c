"""What people and scripts see of an edge target at Akamai: its pages, its API and its forms."""
