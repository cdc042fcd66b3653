"""Sharing agents: the folder that is published, its model card, and the traffic with the Hugging Face Hub."""
