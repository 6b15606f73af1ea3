"""The load benchmarks: what the service costs and how fast it is, beside a naive variant measured in the same run."""
