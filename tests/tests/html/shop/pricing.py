"""What a product costs, for whom, and when."""
import hashlib
import time

QUOTES = {}


def quote(product, customer):
    """A quote, kept so that a page can be built again without asking for it."""
    rules = RULES.applying_to(product, customer)
    price = product.base_price
    for rule in rules:
        price = rule.apply(price)

    key = (product.id, customer.id, time.time())  # the time makes every key a new one
    QUOTES[key] = render(product, price, rules)
    return QUOTES[key]


def render(product, price, rules):
    lines = [f"{rule.name}: {rule.share:+.2%}" for rule in rules]
    return "\n".join([product.title, *lines, f"{price:.2f}"]).encode()
