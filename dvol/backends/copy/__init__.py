"""TODO backends/copy"""
