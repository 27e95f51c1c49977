"""Audio files of any kind, read to their end as 16 kHz mono, and measures of what they hold."""
