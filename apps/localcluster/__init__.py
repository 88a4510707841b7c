"""A Kubernetes API server for your laptop: as much of one as Sallyport's driver speaks to. It stands alone."""
