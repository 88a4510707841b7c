"""From groups to teams and roles."""
