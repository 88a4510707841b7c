"""The desired state of an edge target as files, for teams who bring it to Akamai by their own hands. No I/O but in
``writing``, no Django anywhere.
"""
