"""Game servers of Agones fleets, allocated over the Kubernetes API (docs/agones.md)."""
