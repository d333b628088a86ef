-- An import brings tickets in the order of their numbers, and a ticket may point to one with a higher number. Such
-- references may then wait until all tickets are there; in every other transaction they are checked at once, as ever.
DO $$
DECLARE
    reference name;
BEGIN
    FOR reference IN
        SELECT conname FROM pg_constraint
        WHERE contype = 'f' AND conrelid = 'tickets'::regclass AND confrelid = 'tickets'::regclass
    LOOP
        EXECUTE format('ALTER TABLE tickets ALTER CONSTRAINT %I DEFERRABLE INITIALLY IMMEDIATE', reference);
    END LOOP;
END $$;
