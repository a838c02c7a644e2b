"""The values that pass between the stages: resources and their ids, the graph, text. Pure."""
