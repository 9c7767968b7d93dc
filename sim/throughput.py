"""Throughput: the cycles of a simulated accelerator beside those predicted."""

from sw.cycles import predict
from sw.format.status import Counter
from sw.format.timing import memory_timing
from sw.schedule import computed


__all__ = ["report_throughput"]


def report_throughput(simulation, names):
    """Return what a simulation says of throughput, as report.json has it.

    Parameters
    ----------
    simulation : Simulation
        What was simulated.
    names : sequence of str
        What the network's layers are called.
    """
    prediction = predict(simulation.image, simulation.target)
    numbers = computed([layer.descriptor for layer in simulation.image.network.layers])
    memory = simulation.target.memory
    roofline = simulation.counter(Counter.CODED_WORDS) * memory_timing(memory).peak_cycles
    return {
        "cycles_per_inference": simulation.cycles,
        "predicted_cycles": prediction.cycles,
        "weights_per_cycle": simulation.weights_per_cycle,
        "decoder_stall_cycles": simulation.waiting,
        "predicted_stall_cycles": prediction.waiting,
        "mac_utilisation": simulation.mac_utilisation,
        "memory": {"kind": str(memory), "roofline_cycles": roofline,
                   "busy_share": roofline / simulation.cycles},
        "layers": [
            {"name": name, "cycles": cycles, "predicted": layer.cycles, "stall_cycles": stalls,
             "predicted_stall_cycles": layer.waiting, "binds": layer.binds,
             "mac_utilisation": utilisation}
            for name, cycles, stalls, layer, utilisation in zip(
                [names[number] for number in numbers], simulation.layer_cycles,
                simulation.layer_stalls, prediction.layers, simulation.layer_utilisation,
                strict=True)],
        "simulated_rtl_sha256": simulation.rtl_sha256,
    }
