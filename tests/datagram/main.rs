//! One suite for every datagram transport: each check runs over each link.
#![forbid(unsafe_code)]

use wharf_test_support::{datagram_probe, needs, running, sockets};

mod accounting;
mod batches;
mod calling;
mod ending;
mod full_receivers;
mod network;
mod network_errors;
mod options;
mod peers;
mod queueing;
mod random;
mod refused_runs;
mod sending;
mod stage;

macro_rules! checks {
    ($link:expr, $module:ident: $($check:ident),+ $(,)?) => {
        mod $module {
            $(
                #[test]
                fn $check() {
                    crate::stage::Stage::run($link, crate::$module::$check);
                }
            )+
        }
    };
}

/// A module of tests for each link; a transport joins the suite by its line here.
macro_rules! links {
    ($($name:ident: $link:expr),+ $(,)?) => {
        $(
            mod $name {
                checks!($link, calling:
                    connection_made_comes_first_and_connection_lost_last_each_once,
                    datagrams_keep_their_boundaries_and_empty_ones_are_delivered,
                    failing_callbacks_are_reported_and_the_endpoint_goes_on,
                    panicking_callbacks_are_reported_and_the_endpoint_goes_on,
                    failing_connection_made_aborts_the_endpoint,
                    endpoint_with_reaches_the_protocol_and_is_busy_inside_it,
                    endpoint_with_panic_goes_on_in_the_caller_and_so_does_the_endpoint,
                    endpoint_post_runs_in_a_later_round,
                    stale_handles_are_harmless,
                    endpoints_know_their_addresses_and_identities,
                    statistics_count_endpoints_and_bytes,
                );
                checks!($link, sending:
                    answers_reach_their_senders,
                    missing_address_is_an_immediate_error_and_harmless,
                    another_address_than_the_remote_one_is_an_immediate_error,
                    address_of_another_family_is_an_immediate_error,
                    too_large_a_datagram_is_an_immediate_error,
                    datagrams_of_a_callback_go_out_when_it_returns,
                    datagrams_from_elsewhere_go_out_at_the_end_of_the_round,
                    caller_may_change_its_buffer_after_the_send,
                    segments_arrive_as_datagrams_of_their_own,
                    many_to_many_arrive_in_order,
                    more_than_a_callback_gathers_arrives,
                );
                checks!($link, batches:
                    waiting_datagrams_come_in_batches,
                    what_a_failing_batch_has_not_taken_is_delivered,
                    batch_that_always_fails_does_not_keep_the_loop,
                    what_a_batch_leaves_is_let_go_of,
                    pausing_in_a_batch_keeps_the_rest_until_the_resume,
                    closing_in_a_batch_counts_the_rest,
                    pausing_and_resuming_are_idempotent,
                    no_endpoint_keeps_the_loop_to_itself,
                );
                checks!($link, ending:
                    close_sends_what_is_queued_first,
                    abort_discards_what_is_queued,
                    closing_and_aborting_are_idempotent,
                    sends_after_the_end_say_closed,
                    more_of_the_same_after_the_end_says_closed,
                    close_and_abort_never_call_back_from_inside,
                    dropping_the_loop_delivers_connection_lost,
                    dropping_handles_closes_nothing,
                );
                checks!($link, peers:
                    dead_peer_is_told_as_an_error_and_the_endpoint_goes_on,
                    dead_peer_does_not_stop_an_endpoint_from_serving_others,
                    connected_endpoint_hears_its_peer_alone,
                    peer_that_comes_back_is_heard_again,
                );
                checks!($link, queueing:
                    queue_counts_what_a_datagram_takes_beside_its_bytes,
                    writing_pauses_above_high_and_resumes_at_low,
                    order_is_kept_through_the_queue,
                    newest_are_dropped_and_counted_when_the_queue_is_full,
                    oldest_are_dropped_and_counted_when_the_policy_says_so,
                    refused_datagrams_can_be_sent_again_after_the_resume,
                    limits_are_derived_and_low_above_high_is_refused,
                    full_receiver_does_not_grow_the_sender,
                );
                checks!($link, full_receivers:
                    full_receiver_delays_nobody_else,
                    full_receiver_delays_nobody_else_in_one_callback,
                    receiver_that_never_reads_does_not_take_the_room_of_others,
                    oldest_of_all_receivers_are_dropped,
                    what_one_callback_sends_too_much_is_dropped_as_the_policy_says,
                    full_receiver_that_goes_away_is_told_for_each_datagram,
                    closing_waits_for_full_receivers_and_aborting_does_not,
                    marks_count_what_waits_for_each_receiver,
                );
                checks!($link, accounting:
                    every_datagram_is_accounted_for,
                    every_datagram_of_a_flood_is_received_or_counted,
                );
            }
        )+
    };
}

links! {
    udp_v4: crate::stage::Link::UdpV4,
    udp_v6: crate::stage::Link::UdpV6,
    udp_v4_offload: crate::stage::Link::UdpV4Offload,
    udp_v6_offload: crate::stage::Link::UdpV6Offload,
    unix: crate::stage::Link::Unix,
    memory: crate::stage::Link::Memory,
    memory_unix: crate::stage::Link::MemoryUnix,
}
