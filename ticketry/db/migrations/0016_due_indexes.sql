-- What is due is found by its moment, and by nothing else: an index of all that is pending looked like a way to a row
-- that is known by its id, or by its ticket, and was the longest way once very much waited.
DROP INDEX webhook_deliveries_due;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (workspace_id, endpoint_id, next_attempt_at, position)
    WHERE next_attempt_at IS NOT NULL;
DROP INDEX mail_messages_due;
CREATE INDEX mail_messages_due ON mail_messages (workspace_id, next_attempt_at) WHERE next_attempt_at IS NOT NULL;
