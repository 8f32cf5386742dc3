"""TODO trash"""
