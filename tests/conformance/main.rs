//! One suite for every stream transport: each check runs over each link.
#![forbid(unsafe_code)]

use wharf_test_support::{encryption, files, probe, running};

mod back_pressure;
mod beyond;
mod closing;
mod ending;
mod failing;
mod flow_control;
mod making;
mod one_way;
#[cfg(feature = "sim")]
mod parity;
mod reading;
#[cfg(feature = "sim")]
mod seeds;
mod send_file;
#[cfg(feature = "sim")]
mod simulated;
mod stage;
mod switching;
mod writing;

/// Checks by the ways that bytes have to go for them: from the near end to the far one (`forward`),
/// `back`, `both`, or `any` there is.
macro_rules! checks {
    ($link:ty, $module:ident: $($ways:ident: $($check:ident),+;)+) => {
        mod $module {
            $($(
                #[test]
                fn $check() {
                    let needed = crate::stage::Ways::$ways();
                    crate::stage::Stage::<$link>::run(needed, crate::$module::$check);
                }
            )+)+
        }
    };
}

/// These run over one link more: where files go out another way.
macro_rules! send_file_checks {
    ($checks:ident, $link:ty) => {
        $checks!($link, send_file:
            forward:
                several_files_and_writes_keep_their_order,
                range_of_a_file_is_sent_and_its_position_stays,
                nothing_of_a_file_is_sent_at_once,
                what_cannot_be_sent_is_refused_and_harms_nothing,
                closing_connection_refuses_files,
                peer_that_goes_midway_is_told_to_the_future_and_to_the_protocol,
                abort_ends_the_sending_with_closed,
                close_and_write_eof_send_the_whole_file_first,
                cancelled_file_stops_and_what_is_behind_it_follows,
                cancelling_the_only_file_lets_a_close_go_on,
                dropping_a_sending_cancels_it_unless_it_is_detached_or_listened_to,
                file_that_became_shorter_ends_the_connection,
                bytes_are_those_that_the_file_has_when_they_are_sent,
                waiting_file_counts_little_and_what_is_behind_it_in_full;
            both:
                file_goes_out_between_what_is_written_before_and_after,
                reading_goes_on_while_a_file_is_sent,
                answering_with_files_is_bounded_by_the_default_hold,
                long_file_leaves_others_their_turn;
        );
    };
}

/// As `checks`, over a pair of links, of which one is simulated: callbacks are the same on both.
#[cfg(feature = "sim")]
macro_rules! parity_checks {
    ($pair:ty, $module:ident: $($ways:ident: $($check:ident),+;)+) => {
        mod $module {
            $($(
                #[test]
                fn $check() {
                    let needed = crate::stage::Ways::$ways();
                    let name = stringify!($check);
                    let (real, simulated) = (crate::$module::$check, crate::$module::$check);
                    crate::parity::callbacks_are_the_same_over_loopback_and_in_simulation::<$pair>(
                        needed, name, real, simulated,
                    );
                }
            )+)+
        }
    };
}

/// The checks as a list, for those that run them many times.
#[cfg(feature = "sim")]
macro_rules! listed_checks {
    ($link:ty, $module:ident: $($ways:ident: $($check:ident),+;)+) => {
        pub(crate) mod $module {
            pub(crate) const CHECKS: &[crate::seeds::Check<$link>] =
                &[$($((stringify!($check), crate::$module::$check)),+),+];
        }
    };
}

/// A module of tests for each link; a transport joins the suite by its line here.
macro_rules! links {
    ($($name:ident: $link:ty),+ $(,)?) => {
        $(
            mod $name {
                suite!(checks, $link);
            }
        )+
    };
}

/// All checks.
macro_rules! suite {
    ($checks:ident, $link:ty) => {
        $checks!($link, making:
            any:
                connection_made_was_called_when_the_connect_completes,
                abort_in_connection_made_is_followed_by_connection_lost;
            forward:
                connection_made_comes_first_and_connection_lost_last_each_once,
                bytes_that_wait_already_come_after_connection_made,
                pause_reading_in_connection_made_is_honoured,
                close_in_connection_made_is_followed_by_connection_lost;
        );
        $checks!($link, closing:
            any:
                connection_lost_is_told_none_after_close_abort_and_the_peers_end,
                protocol_is_dropped_once_and_the_peer_sees_the_end_after_connection_lost,
                abort_is_idempotent,
                info_stays_readable_after_the_end;
            forward:
                close_is_idempotent,
                close_sends_everything_written_and_stops_reading_at_once,
                abort_discards_what_is_not_sent,
                abort_after_close_discards_the_rest,
                dropping_the_loop_delivers_every_connection_lost;
            back:
                close_and_abort_never_call_back_from_inside,
                is_closing_is_true_from_close_abort_or_error_on,
                dropping_handles_and_connections_closes_nothing;
            both:
                two_ends_that_close_with_much_to_send_do_not_wait_for_each_other;
        );
        $checks!($link, ending:
            forward:
                abort_with_nothing_to_drop_is_an_end_like_others,
                dropped_output_never_looks_complete,
                a_failed_write_is_followed_by_no_resume_writing;
            both:
                a_peer_that_talks_while_we_close_gets_everything,
                a_slow_reader_at_close_gets_everything,
                a_reset_at_every_step_of_closing_ends_it_once,
                a_failed_write_while_input_waits_leaves_it_to_be_read;
        );
        $checks!($link, failing:
            any:
                failing_connection_made_aborts_the_connection,
                failing_connection_lost_is_reported_and_changes_nothing,
                panics_are_caught_in_every_callback;
            forward:
                failing_pause_writing_aborts_the_connection,
                failing_resume_writing_aborts_the_connection;
            back:
                connection_lost_is_told_the_error_that_ended_the_connection,
                failing_data_received_aborts_the_connection,
                failing_eof_received_aborts_the_connection,
                failing_get_buffer_or_buffer_updated_aborts_the_connection,
                what_a_callback_returns_is_reported_unless_the_peer_broke_the_protocol;
            both:
                failure_of_one_connection_leaves_the_others_alone;
        );
        $checks!($link, reading:
            back:
                no_connection_keeps_the_loop_to_itself,
                data_is_delivered_in_order_in_non_empty_chunks,
                already_polled_input_is_not_delivered_after_the_loss,
                buffered_protocol_is_read_into_its_own_buffer,
                empty_buffer_of_a_buffered_protocol_is_an_error,
                eof_received_comes_after_all_data_and_closes_by_default,
                end_of_the_peers_side_is_told_once,
                all_data_is_delivered_though_the_peer_is_gone,
                pausing_and_resuming_are_idempotent_and_harmless_when_closed,
                is_reading_is_false_when_paused_at_the_end_and_when_closing,
                pausing_suppresses_input_that_was_polled_already,
                end_of_the_peers_side_while_paused_is_delivered_after_the_resume;
            both:
                urgent_data_in_the_middle_stops_no_reader,
                reset_is_connection_losts_error_and_not_reported,
                closing_at_the_peers_end_sends_what_is_written,
                keep_open_keeps_the_write_side_open,
                reset_while_paused_is_delivered_at_once,
                input_before_an_error_is_delivered_first,
                input_is_delivered_before_the_error_of_a_write;
        );
        $checks!($link, switching:
            forward:
                paused_write_side_is_passed_on_by_pause_writing;
            back:
                protocol_set_in_eof_received_gets_the_leftover_and_the_end,
                set_protocol_from_elsewhere_applies_in_the_next_round,
                switching_to_a_buffered_protocol_and_back_is_immediate,
                leftover_comes_first_and_fills_buffered_protocols,
                long_leftover_comes_before_what_the_socket_has,
                leftover_waits_while_reading_is_paused,
                last_of_several_protocols_gets_all_that_was_left,
                replaced_protocol_is_dropped_without_connection_lost;
            both:
                set_protocol_applies_when_the_callback_returns;
        );
        $checks!($link, writing:
            any:
                writes_after_the_end_say_closed;
            forward:
                empty_writes_change_nothing,
                what_is_not_taken_is_queued_and_sent_later_in_order,
                every_kind_of_write_keeps_the_order,
                caller_may_change_its_buffer_after_the_write,
                failing_write_is_told_in_connection_lost,
                writes_after_close_are_refused,
                writes_after_write_eof_are_refused,
                vectored_writes_are_joined_and_skip_empty_slices,
                vectored_writes_pause_like_others,
                write_eof_is_idempotent_and_nothing_after_close,
                write_buffer_size_counts_what_is_not_handed_over,
                many_small_writes_of_many_writers_keep_count_and_order;
            both:
                writes_of_a_callback_go_out_when_it_returns,
                large_writes_go_out_at_once,
                write_eof_ends_the_write_side_after_the_flush,
                reading_goes_on_after_write_eof;
        );
        $checks!($link, flow_control:
            any:
                limits_are_derived_from_one_another,
                low_above_high_is_refused;
            forward:
                writing_pauses_above_high_and_resumes_at_low,
                lowering_the_limits_pauses,
                raising_the_limits_resumes,
                zero_limits_pause_on_any_byte_and_resume_when_empty,
                pause_and_resume_alternate,
                writer_that_was_told_above_high_water_is_always_resumed,
                paused_protocol_that_is_aborted_gets_no_resume_writing,
                resume_writing_may_write,
                write_cap_refuses_the_write_and_ends_the_connection;
            both:
                pause_and_resume_are_called_after_the_running_callback,
                hold_is_granted_only_for_output_of_own_input,
                hold_and_users_pause_are_independent;
        );
        $checks!($link, back_pressure:
            both:
                echo_stays_bounded_against_a_client_that_does_not_read,
                echo_returns_every_byte_to_a_client_that_writes_first,
                joined_echoes_do_not_deadlock,
                overriding_only_pause_writing_works,
                overriding_only_resume_writing_works;
        );
        send_file_checks!($checks, $link);
        $checks!($link, beyond:
            any:
                connection_with_says_closed_and_replaced,
                connection_with_panic_aborts_and_goes_on_in_the_caller;
            forward:
                connection_with_reaches_the_protocol;
            back:
                stale_handles_are_harmless;
            both:
                close_never_destroys_the_last_reply,
                input_after_close_is_discarded_and_not_delivered,
                connection_with_is_busy_inside_the_protocols_callbacks,
                connection_post_runs_in_a_later_round,
                callbacks_never_run_inside_others,
                drop_code_of_a_protocol_may_write_and_close;
        );
    };
}

links! {
    unix: crate::stage::Unix,
    socket_pair: crate::stage::SocketPair,
    pipe_forward: crate::one_way::Forward<crate::one_way::Pipe>,
    pipe_back: crate::one_way::Back<crate::one_way::Pipe>,
    socket_forward: crate::one_way::Forward<crate::one_way::Socket>,
    socket_back: crate::one_way::Back<crate::one_way::Socket>,
    pipes: crate::stage::Pipes,
    pair: crate::stage::Pair,
    memory: crate::stage::Memory,
    urgent_memory: crate::stage::UrgentMemory,
}

#[cfg(feature = "tls")]
links! {
    tls12_unix: crate::stage::Tls12<crate::stage::Unix>,
    tls13_unix: crate::stage::Tls13<crate::stage::Unix>,
    tls12_memory: crate::stage::Tls12<crate::stage::Memory>,
    tls13_memory: crate::stage::Tls13<crate::stage::Memory>,
    tls13_urgent_memory: crate::stage::Tls13<crate::stage::UrgentMemory>,
}

#[cfg(not(feature = "sim"))]
links! {
    tcp: crate::stage::Tcp,
}

#[cfg(all(not(feature = "sim"), feature = "tls"))]
links! {
    tls12_tcp: crate::stage::Tls12<crate::stage::Tcp>,
    tls13_tcp: crate::stage::Tls13<crate::stage::Tcp>,
}

// Each check runs over both, and what it has called is compared.
#[cfg(feature = "sim")]
mod tcp_and_simulated {
    suite!(parity_checks, crate::parity::OfTcp);
}

#[cfg(feature = "sim")]
mod faulty {
    suite!(listed_checks, crate::simulated::Faulty);
}

#[cfg(all(feature = "sim", feature = "tls"))]
mod tls12_faulty {
    suite!(listed_checks, crate::stage::Tls12<crate::simulated::Faulty>);
}

#[cfg(all(feature = "sim", feature = "tls"))]
mod tls13_faulty {
    suite!(listed_checks, crate::stage::Tls13<crate::simulated::Faulty>);
}

#[cfg(all(feature = "sim", feature = "tls"))]
mod tls12_tcp_and_simulated {
    suite!(parity_checks, crate::parity::OfTls12);
}

#[cfg(all(feature = "sim", feature = "tls"))]
mod tls13_tcp_and_simulated {
    suite!(parity_checks, crate::parity::OfTls13);
}

mod tcp_without_sendfile {
    send_file_checks!(checks, crate::stage::TcpWithoutSendfile);
}
