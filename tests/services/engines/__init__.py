"""A site whose task queue sends resets of many people, once for each of several queues. docs/bulk.md has its code."""
