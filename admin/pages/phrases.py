"""What people read for the stable codes of errors and outcomes. The API gives the codes; pages give these sentences."""

from __future__ import annotations

from collections.abc import Mapping

from admin.pages.words import mark as _

#: Sentences for a field's mistake.
MISTAKES: Mapping[str, str] = {
    "required": _("Please fill this in."),
    "too_long": _("This is too long."),
    "too_many": _("There are too many lines."),
    "unknown": _("Please choose one of the answers."),
    "password_short": _("At least 8 letters, digits or signs. A short sentence is easy to remember and hard to guess."),
    "password_long": _("At most 200 signs."),
    "password_common": _("This is one of the first passwords a guesser tries. Please choose another, for example a short sentence."),
    "password_differs": _("The two passwords are not the same."),
    "wrong_code": _("This code does not fit, or it was used before. Wait for the next one."),
    "too_many_tries": _("Too many tries."),
    "wrong_pin": _("This is not the PIN."),
    "pin_form": _("Four to eight digits."),
    "pin_easy": _("This PIN is guessed first. Please choose another."),
    "sign_in_form": _("2 to 64 letters or digits, without spaces."),
    "sign_in_taken": _("This sign-in name is taken."),
    "clock": _("Please write a time such as 21:00."),
    "same_clock": _("The beginning and the end are the same."),
    "too_many_hours": _("At most 12 windows."),
    "network_form": _("Please write a network such as 10.1.0.0/16, or an address."),
    "network_taken": _("Two lines name the same network."),
    "class_form": _("Please write the class with its grade, such as 3A or 10 Toán."),
    "not_a_name": _("This is not a name of a site. Write it as it stands in the address line, such as example.com."),
    "name_bare_address": _("Addresses made of digits cannot be listed; write a name."),
    "name_suffix": _("This would cover a whole ending, such as every .vn site. Write the name of one site."),
    "name_locked": _("Sites of help and services that keep devices safe stay open."),
    "name_there": _("This name is in the list already."),
    "time_past": _("This moment has passed."),
    "time_far": _("At most 24 hours ahead."),
    "note_long": _("At most 200 letters."),
    "device_taken": _("This device belongs to somebody already."),
    "device_form": _("Please write an address such as 192.168.1.20."),
    "label_name": _("This looks like a full name with a class. A nickname is enough."),
    "no_child": _("Please name at least one child."),
    "locked": _("This is locked for this age."),
    "code_unknown": _("No request has this code. Look at the letters once more."),
    "symbol_form": _("Please write the number and symbol as on the document, such as 531/KH-UBND. A blank number is written /KH-UBND."),
    "date_form": _("Please write a date such as 05/08/2026."),
    "end_passed": _("This day has passed."),
    "no_end_number": _("Only a document with a number may have no end."),
    "no_address": _("No address of a site was found in it."),
    "file_unreadable": _("This file cannot be read."),
    "personal_data": _("Please leave out names, classes, phone numbers and mail addresses."),
}

#: What to say for a whole request that could not be done: a headline and what to do.
FAULTS: Mapping[str, tuple[str, str]] = {
    "not_found": (_("There is no such page"), _("The link is old, or the thing was removed.")),
    "forbidden": (_("Your role does not include this"), _("Somebody with the right role can do it.")),
    "factor_needed": (_("This needs a second step at sign-in"), _("Set it up under More › My account, then come back.")),
    "foreign_request": (_("This did not come from our own page"), _("Please go back, load the page again and repeat what you did.")),
    "conflict": (_("Somebody changed this meanwhile"), _("Load the page again to see what holds now.")),
    "too_large": (_("That was too much at once"), _("Please send less.")),
    "too_slow": (_("The connection was too slow"), _("Please try again.")),
    "busy": (_("The machine is busy"), _("Nothing was changed. Please try again in a moment.")),
    "gateway_away": (_("The gateway does not answer now"), _("What is protected stays protected. Please try again in a moment.")),
    "too_many_tries": (_("Too many tries"), _("Please wait a little and try again.")),
    "invalid_input": (_("Something is missing"), _("Please go back and look at the fields.")),
    "internal": (_("Something went wrong here"), _("Nothing was changed. Names keep resolving and protection stays as it was.")),
}

#: Acts of the journal, as a parent or teacher reads them; an act without words is shown by its code.
ACTS: Mapping[str, str] = {
    "tenant.created": _("Set up"),
    "account.created": _("Account made"),
    "role.granted": _("Role given"),
    "role.offered": _("Somebody invited to a role"),
    "name.opened": _("Masked name opened once"),
    "session.opened": _("Signed in"),
    "session.ended": _("Signed out"),
    "password.confirmed": _("Password typed again"),
    "password.reset": _("Password set anew on the machine"),
    "password.changed": _("Password changed"),
    "factor.added": _("Second factor added"),
    "factor.removed": _("Second factor taken away"),
    "recovery.renewed": _("Recovery codes made anew"),
    "token.created": _("Key for a program made"),
    "token.revoked": _("Key for a program taken back"),
    "pin.set": _("PIN for shared devices set"),
    "pin.removed": _("PIN for shared devices taken away"),
    "device.lent": _("Shared device in an adult's hands"),
    "device.returned": _("Shared device given back"),
    "site.created": _("Place made"),
    "profile.created": _("Profile made"),
    "profile.changed": _("Profile changed"),
    "profile.retired": _("Profile taken away"),
    "device.assigned": _("Device given to somebody"),
    "device.retired": _("Device forgotten"),
    "switch.set": _("App or group switched"),
    "name.added": _("Site listed by name"),
    "name.removed": _("Site taken off the list"),
    "hours.set": _("Hours changed"),
    "override.started": _("Internet off, or more opened, for a while"),
    "override.ended": _("Ended before its time"),
    "request.received": _("Request of a child"),
    "request.answered": _("Request answered"),
    "policy.applied": _("In force on the gateway"),
}

#: Roles in the journal.
ROLES: Mapping[str, str] = {
    "first_parent": _("parent"),
    "school_admin": _("school administrator"),
    "teacher": _("teacher"),
    "operator": _("operator"),
    "machine": _("the machine"),
    "visitor": _("somebody without an account"),
    "pin": _("somebody with the PIN"),
}
