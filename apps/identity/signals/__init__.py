"""What other systems tell us about people who leave: their doors, how they are read, and what they are answered."""
