ALTER TABLE operation
    DROP CONSTRAINT operation_state_known,
    DROP CONSTRAINT operation_finished,
    ADD CONSTRAINT operation_state_known CHECK (state IN ('waiting', 'running', 'succeeded', 'failed', 'cancelled')),
    ADD CONSTRAINT operation_finished CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
