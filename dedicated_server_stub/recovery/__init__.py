"""Rooms that outlive their process: snapshots of them, and how a new process takes them up."""
