"""AWS IAM Identity Center as a directory: its users and groups are read there, because it pushes to nobody."""
