"""Pages that put several apps side by side, and those of the apps below identity, which know nobody's roles."""
