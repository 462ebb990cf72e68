"""Products and the index over them, loaded once an hour."""
import json

PRODUCTS = {}
INDEX = None


def refresh(path):
    global INDEX
    with open(path) as file:
        raw = json.load(file)
    PRODUCTS.update((each["id"], Product(**each)) for each in raw)
    INDEX = Index(PRODUCTS.values())


class Index:
    def __init__(self, products):
        self.words = {}
        for product in products:
            for word in product.words():
                self.words.setdefault(word, set()).add(product.id)
