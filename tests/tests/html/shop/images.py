"""Pictures in the sizes that pages want."""


def thumbnail(picture, width):
    height = picture.height * width // picture.width
    canvas = bytearray(picture.width * picture.height * 4)  # given back when the function returns
    picture.decode_into(canvas)
    return scale(canvas, width, height)
