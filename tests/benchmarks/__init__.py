"""Speed, measured side by side on this machine in one run. Ratios hold across machines; megabytes a second do not."""
