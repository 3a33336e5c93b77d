"""The checks of the course's exercises and the table of what is done.

Each takes the learner's answer, a function or a class, and returns a `CheckResult` that the notebook shows:
passed, not yet, or wrong with the likely mistake named. No check raises, takes longer than ten seconds or
leaves a trace in the notebook's random state. `progress()` is the table of all exercises.
"""

from .exercise import REGISTRY
from .lesson_00 import (
    descend as check_descend,
    first_answer as check_first_answer,
    normalise as check_normalise,
    two_layers as check_two_layers,
)
from .lesson_01 import (
    LeNet5 as check_lenet5,
    conv2d as check_conv2d,
    diagnose as check_diagnose,
    output_size as check_output_size,
    train as check_train,
)
from .lesson_02 import (
    AlexNet as check_alexnet,
    augment as check_augment,
    costs_at as check_costs_at,
    top_k_error as check_top_k_error,
)
from .lesson_03 import (
    activation_bytes as check_activation_bytes,
    batch_norm as check_batch_norm,
    receptive_field as check_receptive_field,
    vgg_block as check_vgg_block,
)
from .lesson_04 import (
    Inception as check_inception,
    break_even as check_break_even,
    silent_branch as check_silent_branch,
    widest_block as check_widest_block,
)
from .lesson_05 import (
    backward as check_backprop,
    clip as check_clip,
    he_std as check_he_std,
    still_layers as check_standstill,
)
from .lesson_06 import (
    PlainBlock as check_plain_block,
    RepairedBlock as check_repair,
    pass_through as check_pass_through,
    read_curves as check_read_curves,
    six_curves,
)
from .lesson_07 import (
    Bottleneck as check_bottleneck,
    block_removal as check_block_removal,
    option_a as check_option_a,
    path_lengths as check_path_lengths,
    start_as_identity as check_identity_start,
)
from .lesson_08 import (
    ResNet34 as check_resnet34,
    load_trunk as check_load_trunk,
    multi_head_loss as check_multi_head_loss,
    stage as check_stage,
)
from .lesson_09 import (
    bottleneck_parameters as check_bottleneck_parameters,
    choose_net as check_choose_net,
    cost_factor as check_cost_factor,
    count_layers as check_count_layers,
)
from .lesson_10 import (
    freeze_backbone as check_freeze_backbone,
    labels_needed as check_labels_needed,
    new_head as check_new_head,
    parameter_groups as check_parameter_groups,
)
from .lesson_11 import (
    grad_cam as check_grad_cam,
    integrated_gradients as check_integrated_gradients,
    pick_layer as check_pick_layer,
)
from .lesson_12 import (
    pick_threshold as check_pick_threshold,
    read_confusion as check_read_confusion,
    split_sessions as check_split_sessions,
)
from .lesson_13 import (
    average_gradients as check_average_gradients,
    find_bottleneck as check_bottleneck_stage,
    scaled_rate as check_scaled_rate,
)
from .progress import Progress, collect
from .result import CheckResult

__all__ = [
    "CheckResult", "check_activation_bytes", "check_alexnet", "check_augment", "check_average_gradients",
    "check_backprop", "check_batch_norm", "check_block_removal", "check_bottleneck", "check_bottleneck_parameters",
    "check_bottleneck_stage", "check_break_even", "check_choose_net", "check_clip", "check_conv2d",
    "check_cost_factor", "check_costs_at", "check_count_layers", "check_descend", "check_diagnose",
    "check_first_answer", "check_freeze_backbone", "check_grad_cam", "check_he_std", "check_identity_start",
    "check_inception", "check_integrated_gradients", "check_labels_needed", "check_lenet5", "check_load_trunk",
    "check_multi_head_loss", "check_new_head", "check_normalise", "check_option_a", "check_output_size",
    "check_parameter_groups", "check_pass_through", "check_path_lengths", "check_pick_layer",
    "check_pick_threshold", "check_plain_block", "check_read_confusion", "check_read_curves",
    "check_receptive_field", "check_repair", "check_resnet34", "check_scaled_rate", "check_silent_branch",
    "check_split_sessions", "check_stage", "check_standstill", "check_top_k_error", "check_train",
    "check_two_layers", "check_vgg_block", "check_widest_block", "progress", "six_curves",
]  # fmt: skip


def progress() -> Progress:
    """Every exercise of the course with status, tries and the day it was first passed."""
    return collect(sorted(REGISTRY))
