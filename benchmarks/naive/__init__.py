"""The matchmaker that most of us would write first; the measure that the benchmarks compare with."""
