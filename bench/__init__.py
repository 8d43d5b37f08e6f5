"""Speed, latency, capacity and quality, measured beside the peers; reports and plots."""
