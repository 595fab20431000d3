def to_networkx(): pass
def draw(): pass
