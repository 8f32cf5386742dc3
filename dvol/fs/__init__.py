"""TODO fs"""
