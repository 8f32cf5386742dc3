"""TODO tree"""
