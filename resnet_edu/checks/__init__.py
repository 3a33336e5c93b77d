"""The checks of the course's exercises and the table of what is done.

Each takes the learner's answer, a function or a class, and returns a `CheckResult` that the notebook shows:
passed, not yet, or wrong with the likely mistake named. No check raises, takes longer than ten seconds or
leaves a trace in the notebook's random state. `progress()` is the table of all exercises.
"""

from . import (
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_08,
    lesson_09,
    lesson_10,
    lesson_11,
    lesson_12,
    lesson_13,
)
from .exercise import REGISTRY
from .progress import Progress, collect
from .result import CheckResult

__all__ = ["CheckResult", "progress", "six_curves"]  # and the checks, each of which its exercise's card describes

check_first_answer = lesson_00.first_answer
check_normalise = lesson_00.normalise
check_two_layers = lesson_00.two_layers
check_descend = lesson_00.descend
check_output_size = lesson_01.output_size
check_conv2d = lesson_01.conv2d
check_lenet5 = lesson_01.LeNet5
check_train = lesson_01.train
check_diagnose = lesson_01.diagnose
check_top_k_error = lesson_02.top_k_error
check_costs_at = lesson_02.costs_at
check_alexnet = lesson_02.AlexNet
check_augment = lesson_02.augment
check_receptive_field = lesson_03.receptive_field
check_vgg_block = lesson_03.vgg_block
check_activation_bytes = lesson_03.activation_bytes
check_batch_norm = lesson_03.batch_norm
check_break_even = lesson_04.break_even
check_inception = lesson_04.Inception
check_widest_block = lesson_04.widest_block
check_silent_branch = lesson_04.silent_branch
check_backprop = lesson_05.backward
check_he_std = lesson_05.he_std
check_standstill = lesson_05.still_layers
check_clip = lesson_05.clip
check_plain_block = lesson_06.PlainBlock
check_repair = lesson_06.RepairedBlock
check_pass_through = lesson_06.pass_through
check_read_curves = lesson_06.read_curves
six_curves = lesson_06.six_curves
check_identity_start = lesson_07.start_as_identity
check_bottleneck = lesson_07.Bottleneck
check_option_a = lesson_07.option_a
check_path_lengths = lesson_07.path_lengths
check_block_removal = lesson_07.block_removal
check_stage = lesson_08.stage
check_resnet34 = lesson_08.ResNet34
check_multi_head_loss = lesson_08.multi_head_loss
check_load_trunk = lesson_08.load_trunk
check_count_layers = lesson_09.count_layers
check_bottleneck_parameters = lesson_09.bottleneck_parameters
check_choose_net = lesson_09.choose_net
check_cost_factor = lesson_09.cost_factor
check_new_head = lesson_10.new_head
check_freeze_backbone = lesson_10.freeze_backbone
check_parameter_groups = lesson_10.parameter_groups
check_labels_needed = lesson_10.labels_needed
check_grad_cam = lesson_11.grad_cam
check_pick_layer = lesson_11.pick_layer
check_integrated_gradients = lesson_11.integrated_gradients
check_split_sessions = lesson_12.split_sessions
check_read_confusion = lesson_12.read_confusion
check_pick_threshold = lesson_12.pick_threshold
check_average_gradients = lesson_13.average_gradients
check_scaled_rate = lesson_13.scaled_rate
check_bottleneck_stage = lesson_13.find_bottleneck


def progress() -> Progress:
    """Every exercise of the course with status, tries and the day it was first passed."""
    return collect(sorted(REGISTRY))
