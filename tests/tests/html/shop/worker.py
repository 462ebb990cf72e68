"""The threads that serve requests."""


def serve(queue, application):
    while True:
        connection = queue.get()
        with connection:
            for request in connection.requests():
                response = application(request)
                connection.send(response)
