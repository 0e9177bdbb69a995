"""Campaigns: a plan of many tasks, and those who do them."""
