#!lua flags=allow-oom
-- remove_server: a dedicated server leaves; it takes no new sessions from now on.
--
-- KEYS    clock
-- ARGV    server_id
-- RETURN  lost_sessions
-- CODES   none
-- TOUCHES servers server:* reserved:* active:* ended:* servers:open quarantine session_deadlines
-- SENDS   none
-- INCLUDE pool servers

return { forget_server(ARGV[1]) }
