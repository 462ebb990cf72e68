"""Pages of the shop."""
from shop import catalogue, images, pricing, sessions


def product(request, product_id):
    session = sessions.of(request)
    product = catalogue.PRODUCTS[product_id]
    quote = pricing.quote(product, session.customer)
    picture = images.thumbnail(product.picture, 640)
    return page("product.html", product=product, quote=quote, picture=picture)


def search(request):
    words = request.args["q"].split()
    found = catalogue.INDEX.find(words)
    return page("search.html", found=[pricing.quote(each, request.customer) for each in found])


def export(request):
    rows = [row for product in catalogue.PRODUCTS.values() for row in product.history()]
    return csv_response(rows, name="history.csv")
