"""The other side of the stream of events: history, webhooks and Kafka, and HTTP for those who look back."""
