"""What the README and SECURITY.md promise, sentence by sentence, beside the tests that hold it.

A sentence that is changed or added needs its tests named here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

README = [
    ("- **Exact.**", ""),
    (
        "Labels, neighbors and top-k sets are those of float64 scores on the numbers as stored;",
        "cluster/test_lloyd.py::test_follows_plain_lloyd "
        "cluster/test_lloyd.py::test_screened_labels_are_those_of_the_plain_sum "
        "cluster/test_dense_lloyd.py::test_follows_plain_lloyd "
        "cluster/test_packed_centers.py::test_answers_are_those_of_assign "
        "neighbors/test_search.py::test_whole_numbers_have_exact_answers "
        "neighbors/test_search.py::test_signed_data_as_dense "
        "encode/test_topk.py::test_every_shape encode/test_topk.py::test_hard_cases "
        "engines/test_score_bounds.py::test_near_ties_are_not_lost "
        "fuzz/test_fuzzers.py::test_short",
    ),
    (
        "ties go to the lowest index;",
        "cluster/test_lloyd.py::test_ties_go_to_the_lowest_index "
        "cluster/test_dense_lloyd.py::test_short_rows_of_ties_take_the_lowest_atom "
        "cluster/test_packed_centers.py::test_equal_centers_give_the_lowest_label "
        "encode/test_encoding.py::test_ties_go_to_the_lowest_index "
        "encode/test_pursuit.py::test_ties_go_to_the_lowest_atom "
        "neighbors/test_search.py::test_whole_numbers_have_exact_answers",
    ),
    (
        "`labels_ == predict(X)`.",
        "cluster/test_lloyd.py::test_labels_equal_predict_after_fit "
        "cluster/test_estimators.py::test_transform_predict_score_agree",
    ),
    (
        "The bounds of k-means, seeding, top-k and sparse search are switches inside the core; tests hold "
        "them, on and off, to the plain sum.",
        "cluster/test_lloyd.py::test_every_bound_gives_the_same_bits "
        "cluster/test_dense_lloyd.py::test_same_bits_for_every_isa_thread_count_and_bound "
        "seed/test_seeding.py::test_rejection_draws_the_rows_that_plain_numpy_draws "
        "encode/test_topk.py::test_every_option "
        "neighbors/test_search.py::test_no_bound_changes_an_answer "
        "neighbors/test_search.py::test_queries_answered_together",
    ),
    ("- **Repeatable.**", ""),
    (
        "Labels, centers and objective are bit-identical for every kernel variant (baseline, AVX2, AVX-512, "
        "AVX-512 with VNNI and BF16), thread count and index width.",
        "cluster/test_lloyd.py::test_same_bits_for_every_isa_thread_count_and_index_width "
        "cluster/test_dense_lloyd.py::test_same_bits_for_every_isa_thread_count_and_bound "
        "cluster/test_neighbor_blocks.py::test_bits_of_every_variant_and_number_of_threads "
        "cluster/test_estimators.py::test_same_answer_for_every_container_and_index_width",
    ),
    (
        "Where a factorization multiplies dense matrices it calls numpy's BLAS, whose last bits depend on "
        "the machine and its threads; the docstrings say where "
        "([decision 0003](docs/decisions/0003-determinism.md)).",
        "factorize/test_nmf.py::test_bits_do_not_depend_on_threads_variant_or_index "
        "factorize/test_factorize.py::test_products_do_not_depend_on_variant_threads_or_index",
    ),
    (
        "`random_state` takes an int, a `Generator` or a `RandomState`.",
        "api/test_common_rules.py::test_one_rule_takes_seeds "
        "api/test_common_rules.py::test_one_rule_refuses_seeds "
        "cluster/test_estimators.py::test_random_states",
    ),
    ("- **Takes what you have.**", ""),
    (
        "CSR matrices and arrays, int32 and int64 indices;",
        "cluster/test_estimators.py::test_same_answer_for_every_container_and_index_width "
        "api/test_hostile.py::test_every_index_type_is_taken_and_left_alone "
        "api/test_wide_indices.py::test_more_columns_than_32_bits_count_are_refused",
    ),
    (
        "float32, float64, float16 and bfloat16;",
        "api/test_front_door.py::test_half_precision_is_float32 "
        "encode/test_encoding.py::test_storages_mean_their_numbers",
    ),
    (
        "torch tensors and DLPack arrays on the CPU;",
        "api/test_front_door.py::test_tensors_are_worth_the_same "
        "api/test_front_door.py::test_other_arrays_are_worth_the_same",
    ),
    (
        "read-only and memory-mapped.",
        "api/test_hostile.py::test_read_only_memory_mapped_and_int64_are_taken_as_they_are "
        "seed/test_seeding_invariance.py::test_read_only_and_mapped_rows",
    ),
    (
        "Float32, float64 and CSR, and for top-k half precision, without copies.",
        "api/test_no_copies.py::test_dense_rows_are_not_copied "
        "api/test_no_copies.py::test_sparse_rows_are_not_copied "
        "api/test_no_copies.py::test_half_precision_is_not_copied_for_topk "
        "encode/test_encoding.py::test_half_precision_is_not_widened_as_a_whole",
    ),
    (
        "Results are numpy's and scipy's, also for tensors;",
        "api/test_front_door.py::test_tensors_are_worth_the_same",
    ),
    (
        '`topk`, `encode`, `decode` and `TopKEncoder` give tensors by `output="torch"`.',
        "encode/test_tokens_and_tensors.py::test_tensors_come_on_request "
        "encode/test_tokens_and_tensors.py::test_the_encoder_speaks_tensors_on_request",
    ),
    (
        "Masked arrays are refused, not read through their masks.",
        "api/test_front_door.py::test_what_would_be_read_wrongly_is_refused_by_one_message",
    ),
    (
        "`SphericalKMeans` keeps centers CSR where `X` is, and so does `KMeans(sparse_centers=True)`: "
        "10 000 × 41 504 does not become 1.7 GB.",
        "cluster/test_estimators.py::test_sparse_centers_says_in_which_container_centers_come "
        "cluster/test_estimators.py::test_dense_centers_of_much_memory_are_warned_of",
    ),
    ("- **Behaves.**", ""),
    (
        "scikit-learn estimators (`check_estimator`, its own tests of k-means and NMF, its callbacks),",
        "api/test_scikit_learn_checks.py::test_each_public_estimator_has_a_place "
        "api/test_scikit_learn_checks.py::test_scikit_learn_checks "
        "api/test_scikit_learn_checks.py::test_the_named_file_has_them_checked "
        "cluster/test_estimators.py::test_scikit_learn_checks "
        "cluster/test_sklearn_kmeans.py::test_scikit_learn_tests_pass_but_for_reviewed_differences "
        "factorize/test_nmf.py::test_scikit_learn_checks "
        "factorize/test_sklearn_nmf.py::test_scikit_learn_tests_pass_but_for_reviewed_differences "
        "compat/test_sklearn.py::test_scikit_learn_tests_pass_but_for_reviewed_differences "
        "api/test_callbacks.py::test_hooks_come_in_order",
    ),
    (
        "`sample_weight`, `history_`, `callback`,",
        "cluster/test_estimators.py::test_sample_weight_is_repetition_from_the_same_start "
        "factorize/test_nmf.py::test_a_weight_is_a_repetition "
        "cluster/test_estimators.py::test_history_and_callback "
        "factorize/test_nmf_interface.py::test_history_callback_verbose_and_n_init",
    ),
    (
        "Ctrl-C within a second,",
        "api/test_processes.py::test_ctrl_c_stops_within_a_second "
        "api/test_seams.py::test_ctrl_c_stops_within_a_second "
        "api/test_ctrl_c.py::test_ctrl_c_stops_every_family "
        "factorize/test_nmf_interface.py::test_ctrl_c_stops_within_a_second",
    ),
    (
        "safe after `fork` and from many threads at once;",
        "api/test_processes.py::test_fork_after_use "
        "api/test_seams.py::test_a_child_uses_the_encoder_that_another_thread_was_packing "
        "api/test_threads.py::test_results_are_those_of_a_call_alone",
    ),
    (
        "messages that say what to do.",
        "api/test_common_rules.py::test_no_message_has_an_empty_remedy "
        "api/test_common_rules.py::test_remedies_say_what_to_do "
        "fuzz/test_fuzzers.py::test_short",
    ),
    (
        "`latom.show_config()` tells the version, the kernel variant and the threads.",
        "kernels/test_dispatch.py::test_show_config_tells_what_runs",
    ),
    (
        "`LATOM_ISA` forces a variant, `LATOM_NUM_THREADS` the number of threads; both are read when latom "
        "is imported.",
        "kernels/test_dispatch.py::test_the_asked_for_variant_runs "
        "kernels/test_dispatch.py::test_threads_come_from_the_environment_and_the_machine "
        "kernels/test_dispatch.py::test_the_environment_counts_as_it_was_at_import",
    ),
    (
        "`threadpoolctl.threadpool_limits(2)` bounds every call, also those that ask for more.",
        "api/test_thread_limits.py::test_a_limit_of_one_starts_no_thread "
        "api/test_thread_limits.py::test_a_limit_holds_in_its_block_and_is_lifted_after",
    ),
]
SECURITY = [
    (
        "- A call of the public API, with whatever arguments, that reads or writes outside an array, runs "
        "without end, or ends the process. Bad arguments must raise.",
        "fuzz/test_fuzzers.py::test_short api/test_private_core.py::test_other_extents_are_refused "
        "api/test_private_core.py::test_rows_that_do_not_fit_are_refused "
        "api/test_private_core.py::test_numbers_that_lead_past_an_array_are_refused "
        "build/test_cpp.py::test_cpp_tests_pass_under",
    ),
    (
        "- A file that makes `from_pretrained`, `load`, `load_checkpoint`, `latom.Stream` or "
        "`python -m latom` run code. Checkpoints are read as tensors (safetensors, `.npz` without pickles, "
        "torch with "
        "`weights_only=True`), everything else as text or numbers.",
        "api/test_files_run_no_code.py::test_pickles_are_refused "
        "encode/test_pretrained.py::test_arrays_of_objects_are_not_unpickled "
        "cli/test_cli.py::test_bad_npz_contents",
    ),
    (
        "- A call that changes its inputs.",
        "api/test_hostile.py::test_inputs_are_never_written "
        "encode/test_encoding.py::test_inputs_are_neither_copied_nor_written "
        "fuzz/test_fuzzers.py::test_short",
    ),
]


def section(file: str, begin: str, end: str) -> str:
    path = ROOT / file
    if not path.exists():
        pytest.skip(f"{file} is not here")
    return " ".join(path.read_text().split(begin, 1)[1].split(end, 1)[0].split())


def test_the_readme_promises_what_is_listed_here() -> None:
    assert section("README.md", "## What it promises", "## API") == " ".join(text for text, _ in README)


def test_security_promises_what_is_listed_here() -> None:
    told = section("SECURITY.md", "These are faults in that sense:", "These are not:")
    assert told == " ".join(text for text, _ in SECURITY)


@pytest.mark.parametrize("text", [text for text, tests in README + SECURITY if not text.startswith("- **")])
def test_a_test_holds_each_promise(text: str) -> None:
    named = dict(README + SECURITY)[text].split()
    assert named
    for test in named:
        file, _, function = test.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text())
        assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, test
