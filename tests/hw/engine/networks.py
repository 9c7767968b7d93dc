"""Small networks, and the schedule memory that tells a component about them."""

from sw.format.layers import LayerDescriptor, Operation


def layer(operation, input_shape, channels, *, kernel=(1, 1), stride=(1, 1), padding=(0, 0),
          **others):
    """Return a layer whose windows reach as far as they may."""
    height, width = (
        (size + 2 * pad - extent) // step + 1
        for size, pad, extent, step in zip(input_shape, padding, kernel, stride, strict=False))
    return LayerDescriptor(
        operation=operation, input_shape=input_shape, output_shape=(height, width, channels),
        kernel=kernel, stride=stride, padding=padding, input_zero_point=-3,
        output_zero_point=5, activation_min=-100, activation_max=100,
        input_scale=1.0, output_scale=1.0, **others)


NETWORKS = {
    "convolution": [layer(Operation.CONV2D, (5, 4, 3), 9, kernel=(3, 2), padding=(1, 1))],
    "strides": [layer(Operation.CONV2D, (9, 7, 2), 4, kernel=(2, 3), stride=(3, 2))],
    "many tiles": [layer(Operation.CONV2D, (1, 1, 3), 50), layer(Operation.CONV2D, (1, 1, 50), 9)],
    "short windows": [layer(Operation.CONV2D, (3, 3, 2), 16)],
    "pooling": [layer(Operation.MAX_POOL, (4, 6, 10), 10, kernel=(2, 3), stride=(2, 3)),
                layer(Operation.AVERAGE_POOL, (2, 2, 10), 10, kernel=(2, 2))],
    "depthwise": [layer(Operation.DEPTHWISE_CONV2D, (5, 4, 11), 11, kernel=(3, 2), padding=(1, 0)),
                  layer(Operation.DEPTHWISE_CONV2D, (5, 3, 11), 11, kernel=(2, 2), stride=(2, 1))],
    "residual": [layer(Operation.CONV2D, (3, 4, 5), 5),
                 layer(Operation.ADD, (3, 4, 5), 5, inputs=(1, 2), addend=(1.0, -3)),
                 layer(Operation.ADD, (3, 4, 5), 5, inputs=(1, 2), addend=(1.0, 5))],
    "three layers": [layer(Operation.CONV2D, (4, 4, 2), 10, kernel=(3, 3), padding=(1, 1)),
                     layer(Operation.MAX_POOL, (4, 4, 10), 10, kernel=(2, 2), stride=(2, 2)),
                     layer(Operation.FULLY_CONNECTED, (1, 1, 40), 3)],
}


async def schedule_memory(ctx, dut, records):
    """Answer the sequencer's reads, a cycle late."""
    image = b"".join(record.pack() for record in records)
    words = [int.from_bytes(image[i:i + 4], "little") for i in range(0, len(image), 4)]
    while True:
        _, _, address = await ctx.tick().sample(dut.address)
        ctx.set(dut.word, words[address] if address < len(words) else 0)
