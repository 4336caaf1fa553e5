"""What a letter says in French, by the English text."""

from __future__ import annotations

CATALOGUE = {
    "d": "j",
    "h": "h",
    "min": "min",
    "s": "s",
    "about {n} per second": "environ {n} par seconde",
    "about {n} per minute": "environ {n} par minute",
    "about {n} per hour": "environ {n} par heure",
    "about {n} per day": "environ {n} par jour",
    "[... {n} of {size} characters left out ...]": "[... {n} caractères omis sur {size} ...]",
    "{service} on {host}": "{service} sur {host}",
    "{n} alert": "{n} alerte",
    "{n} alerts": "{n} alertes",
    "{n} incident": "{n} incident",
    "{n} incidents": "{n} incidents",
    "{alerts} in {incidents}": "{alerts} dans {incidents}",
    "No further alert since the last mail": "Aucune autre alerte depuis le dernier courriel",
    "{n} more alert since the last mail": "{n} alerte de plus depuis le dernier courriel",
    "{n} more alerts since the last mail": "{n} alertes de plus depuis le dernier courriel",
    "{n} in all": "{n} en tout",
    "Resolved after {duration}.": "Résolu après {duration}.",
    "Resolved": "Résolu",
    "Reminder": "Rappel",
    "Closing": "Clôture",
    "Digest": "Récapitulatif",
    "Test": "Essai",
    "Alert": "Alerte",
    "This is a test: nothing has happened. An operator sent it to see whether alerts arrive.": (
        "Ceci est un essai : il ne s'est rien passé. Un opérateur l'a envoyé pour vérifier les alertes."
    ),
    "There were too many different alerts to keep: this one stands for several, counted together.": (
        "Trop d'alertes différentes pour toutes les garder : celle-ci en représente plusieurs, comptées ensemble."
    ),
    "Many different alerts came at once: the first has a mail of its own, this one tells the others.": (
        "Beaucoup d'alertes différentes sont arrivées à la fois : la première a son courriel, celui-ci dit les autres."
    ),
    "More was due than the hour's ration of mails allows, so this mail tells it together.": (
        "Il y avait plus à dire que la ration de courriels de l'heure ne permet : ce courriel le dit ensemble."
    ),
    "Mail could not be sent for a while; this mail tells what has gathered.": (
        "L'envoi a échoué pendant un moment ; ce courriel dit ce qui s'est accumulé."
    ),
    "Muted from {begin} to {end}: {reason}": "En sourdine du {begin} à {end} : {reason}",
    "Muted from {begin} until {end}: {reason}": "En sourdine du {begin} au {end} : {reason}",
    "no reason given": "sans raison indiquée",
    "Message": "Message",
    "Details": "Détails",
    "Where and when": "Où et quand",
    "Traceback": "Pile d'appels",
    "Before it": "Juste avant",
    "Also seen in this incident": "Vu aussi dans cet incident",
    "Trouble while the record was captured": "Problème lors de la capture de l'enregistrement",
    "(no message)": "(sans message)",
    "Service": "Service",
    "Kind": "Type",
    "Level": "Niveau",
    "Logger": "Logger",
    "Place in code": "Dans le code",
    "Host": "Machine",
    "Hosts": "Machines",
    "Process": "Processus",
    "Thread": "Thread",
    "Task": "Tâche",
    "Time": "Heure",
    "First": "Première",
    "Last": "Dernière",
    "Alerts": "Alertes",
    "{n} further extra left out": "{n} autre champ omis",
    "{n} further extras left out": "{n} autres champs omis",
    "{n} further section is in the text part of this mail only.": (
        "{n} autre section ne figure que dans la partie texte de ce courriel."
    ),
    "{n} further sections are in the text part of this mail only.": (
        "{n} autres sections ne figurent que dans la partie texte de ce courriel."
    ),
    "This is the first mail about this incident.": "C'est le premier courriel au sujet de cet incident.",
    "The incident goes on; this mail tells what is new since the last one.": (
        "L'incident continue ; ce courriel dit ce qui est nouveau depuis le précédent."
    ),
    "This mail closes the incident and tells what no earlier one did.": (
        "Ce courriel clôt l'incident et dit ce qu'aucun autre n'a encore dit."
    ),
    "The program said that the trouble is over; the incident is closed.": (
        "Le programme a signalé la fin du problème ; l'incident est clos."
    ),
    "Several incidents were due at once; this mail tells them together, worst first.": (
        "Plusieurs incidents étaient à signaler en même temps ; ce courriel les réunit, le pire d'abord."
    ),
    "An operator asked for this mail.": "Un opérateur a demandé ce courriel.",
    "Delayed by {duration}.": "Retard : {duration}.",
    "Delayed by {duration}: it was muted.": "Retard : {duration} ; il était en sourdine.",
    "Delayed by {duration}: mail failed, its ration was used up, or no process was there to send it.": (
        "Retard : {duration} ; l'envoi échouait, la ration était épuisée ou aucun processus n'était là."
    ),
    "The first alert that it tells came {duration} before it.": (
        "La première alerte dont il parle est plus ancienne de {duration}."
    ),
    "{n} secret was taken out of what this mail shows.": "{n} secret a été retiré de ce que montre ce courriel.",
    "{n} secrets were taken out of what this mail shows.": "{n} secrets ont été retirés de ce que montre ce courriel.",
    "To have no mail about it for two hours:": "Pour ne plus recevoir de courriel à son sujet pendant deux heures :",
    "To have no mail about one of them for two hours:": (
        "Pour ne plus recevoir de courriel au sujet de l'un d'eux pendant deux heures :"
    ),
    "being repaired": "en réparation",
    "Trace": "Trace",
    "Span": "Span",
    "{trace} (not sampled)": "{trace} (non échantillonnée)",
    "Fingerprint: {fingerprint}": "Empreinte : {fingerprint}",
    "Sent by alertlog for {where}": "Envoyé par alertlog pour {where}",
    "Sent by alertlog for {where}, handler {handler}": "Envoyé par alertlog pour {where}, gestionnaire {handler}",
}
