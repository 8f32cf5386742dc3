"""TODO pool"""
